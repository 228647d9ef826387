"""What a terminal shows of what is written to it; as much of one as rich makes use of."""

import re

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def shown_on(text: str, *, rows: int) -> list[str]:
    """Give the lines that stand there in the end, with those that went out at its top."""
    lines = [""]
    row = column = 0
    for number, command, control, written in _TOKEN.findall(text):
        if control == "\n":
            row, column = row + 1, 0  # the terminal's driver adds the carriage return
            lines += [""] * (row + 1 - len(lines))
        elif control == "\r":
            column = 0
        elif command == "A":
            # What has gone out at the top cannot be reached any more.
            row = max(row - int(number or 1), len(lines) - rows, 0)
        elif command == "K":
            assert number == "2"
            lines[row] = ""
        elif written:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + written + before[column + len(written) :]
            column += len(written)
        else:
            assert command in "mhl", command
    while lines and not lines[-1].strip():
        del lines[-1]
    return [line.rstrip() for line in lines]
