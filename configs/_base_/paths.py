"""Where data and weights lie: folders beside the program, or what the environment says.

`RC3MM_DATA` and `RC3MM_WEIGHTS` name other folders. Weights that are not there are fetched by name
(by transformers and timm) if there is a network.
"""

import os

data_root = os.environ.get('RC3MM_DATA', 'data')
weights_root = os.environ.get('RC3MM_WEIGHTS', 'weights')

text_folder = os.path.join(weights_root, 'xlm-roberta-base')
text_weights = text_folder if os.path.isdir(text_folder) else 'xlm-roberta-base'
patch_file = os.path.join(weights_root, 'vit_base_patch16_224.safetensors')
patch_weights = dict(checkpoint=patch_file) if os.path.isfile(patch_file) else dict(pretrained=True)

required_weights = [
    dict(
        path=text_folder,
        what='XLM-R base, weights and tokenizer (Conneau et al. 2020)',
        get=f'on a machine with a network: hf download xlm-roberta-base --local-dir {text_folder}',
        layout='config.json, model.safetensors, tokenizer.json, ... as on the hub',
        hub='xlm-roberta-base:config.json',
    ),
    dict(
        path=patch_file,
        what='ViT-B/16 at 224 pixels, AugReg, ImageNet-21k then ImageNet-1k (Steiner et al. 2022)',
        get='Hugging Face hub, timm/vit_base_patch16_224.augreg2_in21k_ft_in1k: model.safetensors, renamed',
        hub='timm/vit_base_patch16_224.augreg2_in21k_ft_in1k:model.safetensors',
    ),
]

del os  # a module cannot be written down when a run stores its config
