"""The declared builder and what is there in; what makes them one, and what they can do, out."""
