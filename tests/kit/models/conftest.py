def pytest_configure(config):
    config.addinivalue_line("markers", "check(name): column of the conformance matrix in docs/models.md")
