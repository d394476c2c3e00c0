"""CBNetV2 for mmdet 2.28: composite backbones and detectors with assistant supervision.

Importing the package registers its classes with mmdet, which is what `custom_imports` in a config asks for.
"""

from cbnetv2.cb_resnet import CBRes2Net, CBResNet
from cbnetv2.cb_swin import CBSwinTransformer
from cbnetv2.detectors import CBCascadeRCNN, CBFasterRCNN, CBHybridTaskCascade, CBMaskRCNN
from cbnetv2.neck import CBFPN

__all__ = [
    "CBFPN",
    "CBCascadeRCNN",
    "CBFasterRCNN",
    "CBHybridTaskCascade",
    "CBMaskRCNN",
    "CBRes2Net",
    "CBResNet",
    "CBSwinTransformer",
]
