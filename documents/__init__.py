"""Pages of docs/ that are made from the code: the errors, the licences, the dependencies, the surface."""
