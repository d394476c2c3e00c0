"""The inference server of a test's competition."""

import kaggle_evaluation.core.templates
from kaggle_evaluation.slides_gateway import SlidesGateway


class SlidesInferenceServer(kaggle_evaluation.core.templates.InferenceServer):
    """Answers `predict`."""

    def _get_gateway_for_test(self, client, data):
        return SlidesGateway(client, data)
