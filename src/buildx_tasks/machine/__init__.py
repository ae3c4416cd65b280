"""The machine: commands that are run, files that are written, locks, programs that are tried."""
