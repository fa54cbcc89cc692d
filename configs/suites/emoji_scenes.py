"""All five tasks on EmojiScenes: one pre-trained checkpoint, tuned in English on each, tested in six languages.

Command:  python tools/evaluate_suite.py configs/suites/emoji_scenes.py
          (or make suite, which runs the quickstart first if there is no checkpoint yet)
Time:     17 minutes on 2 CPU cores: twelve trainings, two at a time
Result:   docs/tasks/twins.md; it writes a table, results.json, table.csv, table.md, table.tex and chart.png to
          work_dirs/emoji_scenes
"""

suite = dict(
    title='EmojiScenes',
    pretrained='work_dirs/pretrain_tiny/iter_2000.pth',
    split='test',
    setting='zero-shot, tuned on English',
    tasks=dict(
        retrieval=dict(
            config='configs/retrieval/emoji.py',
            title='Retrieval',
            metrics={'text->image R@1': 'retrieval/{}/t2i_R@1', 'image->text R@1': 'retrieval/{}/i2t_R@1'},
            chance={'text->image R@1': 0.2, 'image->text R@1': 0.2},
        ),
        xgqa=dict(
            config='configs/xgqa/emoji.py',
            title='Visual questions (xGQA)',
            metrics={'accuracy': 'answers/{}/accuracy'},
            chance={'accuracy': 27.3},  # the best guess from the question alone, expected
            controls={
                'text only': [
                    'train_dataloader.dataset.sources.gqa.pipeline.0.what=image',
                    'test_dataloader.dataset.pipeline.0.what=image',
                    'model.test_form=patch',  # no region is to be looked for in grey
                ],
                'image only': [
                    'train_dataloader.dataset.sources.gqa.pipeline.0.what=text',
                    'test_dataloader.dataset.pipeline.0.what=text',
                ],
            },
        ),
        xvnli=dict(
            config='configs/xvnli/emoji.py',
            after='xgqa',
            title='Entailment (XVNLI)',
            metrics={'accuracy': 'answers/{}/accuracy'},
            chance={'accuracy': 33.3},
            controls={
                'text only': [
                    'train_dataloader.dataset.sources.xvnli.pipeline.0.what=image',
                    'test_dataloader.dataset.pipeline.0.what=image',
                    'model.test_form=patch',  # no region is to be looked for in grey
                ],
                'image only': [
                    'train_dataloader.dataset.sources.xvnli.pipeline.0.what=text',
                    'test_dataloader.dataset.pipeline.0.what=text',
                ],
            },
        ),
        marvl=dict(
            config='configs/marvl/emoji.py',
            after='xgqa',
            title='Pairs of images (MaRVL)',
            metrics={'accuracy': 'answers/{}/accuracy', 'consistency': 'answers/{}/consistency'},
            chance={'accuracy': 50.0, 'consistency': 6.25},
            controls={
                'text only': [
                    'train_dataloader.dataset.sources.nlvr2.pipeline.0.what=image',
                    'test_dataloader.dataset.pipeline.0.what=image',
                    'model.test_form=patch',  # no region is to be looked for in grey
                ],
                'image only': [
                    'train_dataloader.dataset.sources.nlvr2.pipeline.0.what=text',
                    'test_dataloader.dataset.pipeline.0.what=text',
                ],
            },
        ),
        mmt=dict(
            config='configs/mmt/emoji.py',
            title='Translation with image (MMT)',
            setting='supervised',
            languages=('de', 'fr', 'cs'),
            metrics={'BLEU': 'translation/{}/bleu', 'senses': 'translation/{}/sense_accuracy'},
            chance={'senses': 50.0},
            controls={
                'text only': ['model.image=none'],
                'wrong image': ['test_only: model.image=wrong'],
            },
        ),
    ),
)
