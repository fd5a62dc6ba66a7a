import work

import headrace as hr

app = hr.App()


@app.job()
def noop(index: int) -> None:
    work.sign(index)


@app.job()
def hold(index: int) -> None:
    work.hold(index)


@app.job()
def burn(index: int) -> None:
    work.burn(index)


@app.job()
def measure(index: int, table: hr.Blob) -> int:
    """Reads the whole blob and returns its size in bytes."""
    size = 0
    with table.open() as file:
        while part := file.read(1 << 20):
            size += len(part)
    work.sign(index)
    return size


@app.call()
def answer(index: int) -> int:
    return index
