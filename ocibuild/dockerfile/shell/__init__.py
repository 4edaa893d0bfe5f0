"""What the words of an instruction stand for: quotes, escapes, variables and the patterns in them."""
