import headrace as hr

app = hr.App()
print("about to fail")
raise RuntimeError("no licence")
