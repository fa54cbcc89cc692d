"""XVNLI with regions: tuned on regions, patches and both by turns, tested in whichever form.

Command:  python tools/train.py configs/xvnli/xvnli_roi.py
          python tools/test.py configs/xvnli/xvnli_roi.py work_dirs/xvnli_roi/best_*.pth --form roi
Result:   none yet.

As xvnli.py, and

    data/regions/flickr30k/                 a RoiStore: 36 regions an image, 2048-d

Every other task goes the same way: `LoadRegions` between `DecodeImage` and `ResizeImage` (for two images an item, in
`EachImage`), `form_probs` and `test_form` of the model. For regions alone, without any image file, put
`LoadRegions(drop_image=True)` before `DecodeImage`, leave the two image transforms out, and set `form_probs` and
`test_form` to roi.
"""

from mmengine.config import read_base

with read_base():
    from .xvnli import *

from rc3mm.datasets import LoadRegions, RoiStore

regions = f'{data_root}/regions/flickr30k'
load = dict(
    type=LoadRegions, feature_dim=2048, num_regions=36, source=dict(type=RoiStore, path=regions, feature_dim=2048)
)
roi_pipeline = [visual[0], load, visual[1], tokenize, pack]
train_dataloader['dataset']['sources']['xvnli'].update(pipeline=roi_pipeline)
val_dataloader['dataset'].update(pipeline=roi_pipeline)
test_dataloader['dataset'].update(pipeline=roi_pipeline)

model.update(form_probs=dict(roi=0.25, patch=0.25, both=0.5), test_form='both')

required_files.append(
    dict(
        path=regions,
        what='regions of the images of Flickr30k: 36 an image, 2048-d',
        get='tools/extract_roi_features.py configs/detectors/bottom_up_r101_c4_vg.py, or\n'
        "tools/dataset_converters/convert_roi_features.py on IGLUE's features (their README has the address)",
        layout='the store that these write; its image ids are names without .jpg',
    )
)
