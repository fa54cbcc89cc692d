"""What the tasks on EmojiScenes share: the world, its tokens, and loaders.

Training is in English; an option may conceal the image or the text, which makes the controls of the suite.
"""

from rc3mm.datasets import Conceal, EvalSampler, MixedSourceSampler, PackVLInputs, Tokenize, vl_collate

tokenizer = 'emoji'
world = dict(num_concepts=100, level='easy', image_size=48)
conceal = dict(type=Conceal, what='nothing')
tokenize = dict(type=Tokenize, tokenizer=tokenizer, max_length=60)
pack = dict(type=PackVLInputs)
pipeline = [conceal, tokenize, pack]

collate = dict(type=vl_collate, pad_id=1)
train_loader = dict(
    sampler=dict(type=MixedSourceSampler, batch_size=64, seed=0),  # no length pool: length tells the kind of an item
    batch_size=None,  # the sampler decides on whole batches
    num_workers=0,
    persistent_workers=False,
    collate_fn=collate,
)
eval_loader = dict(sampler=dict(type=EvalSampler), batch_size=128, num_workers=0, collate_fn=collate)
