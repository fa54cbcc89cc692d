"""The encoders and the fusion head of the base model: XLM-R base, ViT-B/16 at 224 pixels, six fusion layers."""

from mmengine.config import read_base

with read_base():
    from ..paths import *

from rc3mm.models import FusionEncoder, PatchEncoder, RoiEncoder, TextEncoder, VLDataPreprocessor

width = 768

backbone = dict(
    # This ViT was trained on images normalised to [-1, 1], not by ImageNet's mean and deviation.
    data_preprocessor=dict(type=VLDataPreprocessor, mean=[127.5] * 3, std=[127.5] * 3),
    # an image's two texts differ in length: in four groups of like lengths a few tokens in a hundred are padding
    text_encoder=dict(type=TextEncoder, pretrained=text_weights, length_groups=4),
    patch_encoder=dict(type=PatchEncoder, model_name='vit_base_patch16_224', **patch_weights),
    roi_encoder=dict(type=RoiEncoder, feature_dim=2048),
    fusion=dict(type=FusionEncoder, width=width, depth=6, heads=12, dropout=0.1),
    test_form='both',
)
