"""Find the competition and the datasets, restore files, install packages."""
