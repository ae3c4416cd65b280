"""What a build reads on this machine in; hashes that change with it, out. No content, no secret."""
