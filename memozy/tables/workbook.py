"""A workbook's sheet as text, for `memozy.tables.binary`.

Run as a script, in a process of its own, since a few bytes can make a workbook that no memory holds. Writes the sheet, header included, to standard output as Arrow IPC, nothing where no sheet holds anything; exit code 2
with one line on standard error where the workbook cannot be read.
"""

import sys

MEMORY = 4 << 30  # bytes of addresses that reading may take


def main(path: str) -> None:
    import resource

    import fastexcel
    import polars as pl

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        book = fastexcel.read_excel(path)
        # as text: ids keep their leading zeros and NA stays NA
        sheets = {
            name: book.load_sheet(name, header_row=None, dtypes="string").to_polars() for name in book.sheet_names
        }
    except fastexcel.FastExcelError as error:
        print(str(error).split("\n")[0], file=sys.stderr)
        sys.exit(2)
    filled = {n: f.filter(pl.any_horizontal(pl.all().is_not_null())) for n, f in sheets.items() if f.width}
    filled = {name: frame for name, frame in filled.items() if frame.height}
    if len(filled) > 1:
        print(f"more than one of its sheets holds something: {', '.join(filled)}"[:200], file=sys.stderr)
        sys.exit(2)
    for frame in filled.values():
        frame.write_ipc(sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1])
