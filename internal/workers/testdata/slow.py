import time

import headrace as hr

app = hr.App()
time.sleep(600)
