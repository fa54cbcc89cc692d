"""Published numbers of others, as data, for `tools/evaluate_suite.py`.

A benchmark: `title`, `source`, `setting`, `split`, `protocol`, `items` (per language; None where not known for all),
`languages` (those that the published mean is over; English is never among them) and `metrics`: last part of the name of
our metric -> model -> language -> number in per cent, where `mean` is the published mean. Single languages are listed
where rc3mm is pre-trained on them.
"""

_iglue = dict(
    source="IGLUE's files of zero-shot results (github.com/e-bug/iglue, revision 43cbac9)",
    setting='zero-shot',
    split='test',
)

published = dict(
    xvnli=dict(
        **_iglue,
        title='XVNLI',
        protocol='fine-tuned on English XVNLI; image and hypothesis; all 1,164 items count, '
        'the 14 without a gold label as wrong',
        items=1164,
        languages=('ar', 'es', 'fr', 'ru'),
        metrics=dict(
            accuracy=dict(
                mUNITER=dict(mean=53.69, fr=59.36),
                xUNITER=dict(mean=58.48, fr=63.32),
                UC2=dict(mean=62.05, fr=69.67),
                M3P=dict(mean=58.25, fr=56.36),
            )
        ),
    ),
    xgqa=dict(
        **_iglue,
        title='xGQA',
        protocol='fine-tuned on English GQA; one of 1,842 answers, all English; tested on few_shot/{l}/test.json',
        items=9666,
        languages=('bn', 'de', 'id', 'ko', 'pt', 'ru', 'zh'),
        metrics=dict(
            accuracy=dict(
                mUNITER=dict(mean=9.97, de=23.95, zh=7.03),
                xUNITER=dict(mean=21.72, de=34.83, zh=19.55),
                UC2=dict(mean=29.35, de=42.85, zh=31.16),
                M3P=dict(mean=28.17, de=33.42, zh=28.65),
            )
        ),
    ),
    marvl=dict(
        **_iglue,
        title='MaRVL',
        protocol='fine-tuned on English NLVR2',
        items=dict(id=1128, sw=1108, ta=1242, tr=1180, zh=1012),
        languages=('id', 'sw', 'ta', 'tr', 'zh'),
        metrics=dict(
            accuracy=dict(
                mUNITER=dict(mean=53.72, zh=55.34),
                xUNITER=dict(mean=54.59, zh=53.06),
                UC2=dict(mean=57.28, zh=59.88),
                M3P=dict(mean=56.00, zh=55.04),
            )
        ),
    ),
    xflickrco=dict(
        **_iglue,
        title='xFlickr&CO',
        protocol='fine-tuned on English Flickr30k; all pairs scored; one caption an image, the '
        'empty ones of de and id kept',
        items=2000,
        languages=('de', 'es', 'id', 'ja', 'ru', 'tr', 'zh'),
        metrics={
            't2i_R@1': dict(
                mUNITER=dict(mean=8.06), xUNITER=dict(mean=14.04), UC2=dict(mean=20.31), M3P=dict(mean=12.91)
            ),
            'i2t_R@1': dict(
                mUNITER=dict(mean=8.86), xUNITER=dict(mean=13.51), UC2=dict(mean=17.89), M3P=dict(mean=11.90)
            ),
        },
    ),
    wit=dict(
        **_iglue,
        title='WIT',
        protocol='fine-tuned on English WIT; all pairs scored; several captions may share an '
        'image; ar with 891 captions, of which one was removed later',
        items=None,
        languages=('ar', 'bg', 'da', 'el', 'et', 'id', 'ja', 'ko', 'tr', 'vi'),
        metrics={
            't2i_R@1': dict(mUNITER=dict(mean=9.16), xUNITER=dict(mean=8.72), UC2=dict(mean=7.83), M3P=dict(mean=8.12)),
            'i2t_R@1': dict(
                mUNITER=dict(mean=10.48), xUNITER=dict(mean=9.81), UC2=dict(mean=9.09), M3P=dict(mean=9.98)
            ),
        },
    ),
)
