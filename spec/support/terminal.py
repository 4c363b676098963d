"""terminal.py WORD COMMAND...: runs a command on a terminal of its own and presses Ctrl-C once it has drawn WORD.
What it draws goes to stdout; ends as the command does."""
import os
import pty
import sys

CTRL_C = b"\x03"
word, drawn = sys.argv[1].encode(), b""


def read(terminal):
    global drawn
    data = os.read(terminal, 1024)
    if word not in drawn and word in drawn + data:
        os.write(terminal, CTRL_C)
    drawn += data
    return data


sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[2:], read)))
