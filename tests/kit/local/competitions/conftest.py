from tests.kit.competitions.conftest import body, each, kidney, vasculature

__all__ = ["body", "each", "kidney", "vasculature"]
