"""`python -m kit new-competition`: a downloaded folder becomes a definition, by guesses and questions."""
