"""Images in memory as the engine reads them."""


class ArraySource:
    """A `BandSource` of the rows of an array, uint8 (height, width, 3)."""

    def __init__(self, image_HWC):
        self.height, self.width = image_HWC.shape[:2]
        self._image_HWC = image_HWC

    def read_band(self, y0, y1):
        return self._image_HWC[y0:y1]
