"""Commands, files and programs in; run, written and tried on this machine, out."""
