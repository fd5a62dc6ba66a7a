import os
import pathlib

import headrace as hr

app = hr.App()


@app.job()
def noop() -> None:
    pass


marker = pathlib.Path(os.environ["MARKER"])
if marker.exists():
    print("cannot live like this", flush=True)
    os._exit(1)
