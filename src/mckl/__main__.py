"""`python -m mckl` is the command `mckl`."""

from mckl.cli.commands import main

main(prog_name="mckl")
