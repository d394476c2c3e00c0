"""Where the discs are: two numbers for an image, from a model that is no torch.nn.Module."""

import numpy as np


class DiscPlace:
    kind = "values"

    def load(self, path):
        with np.load(path) as stored:
            self.colour, self.width = stored["colour"], float(stored["width"])

    def predict(self, image):
        distance = np.abs(image.astype(np.float32) - self.colour).sum(axis=2)
        weight = np.exp(-((distance / self.width) ** 2))
        rows, columns = np.indices(weight.shape)
        return {"x": (weight * columns).sum() / weight.sum(), "y": (weight * rows).sum() / weight.sum()}
