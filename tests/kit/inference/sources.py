"""Images in memory as the engine reads them."""


class ArraySource:
    """A `BandSource` of the rows of an array, uint8 (height, width, 3)."""

    def __init__(self, image_HWC):
        self._image_HWC = image_HWC

    @property
    def height(self):
        return self._image_HWC.shape[0]

    @property
    def width(self):
        return self._image_HWC.shape[1]

    def read_band(self, y0, y1):
        return self._image_HWC[y0:y1]
