"""Config and selection in; a frozen plan of cells, and its bake file, out. No I/O."""
