"""Images and what is expected of them in; a report of what was found out."""
