"""How similar tasks are, and what that says about their orders."""
