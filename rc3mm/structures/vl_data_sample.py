"""VLDataSample: what travels beside the tensors, from the dataset to the metrics."""

from mmengine.structures import BaseDataElement

__all__ = ['VLDataSample']


class VLDataSample(BaseDataElement):
    """One image with its texts (or a pair of texts alone) and what is known or predicted about them.

    Meta information (set by `PackVLInputs`):

    - `image_id` (str): unique within its dataset; names the sample in every report and error.
    - `image_ids` (tuple[str, ...], optional): of an item with several images, that of each.
    - `source` (str): `strict`, `weak`, `parallel`, or a downstream task.
    - `texts` (list[tuple[str, str]]): (language, string) pairs, in the order of the text rows in the batch.
    - `image_path` (str, optional): where the image can be seen again.
    - `true_relevance` (float, optional): known only for synthetic weak pairs; for judging scorers, never an
      input.

    - `item_id`, `label`, `answer`, `group`, `target`, `senses` (of tasks): see `rc3mm.datasets.benchmarks`.

    Data fields (set by a model in `predict` mode):

    - `image_embedding` (Tensor of shape (D,)): unit length.
    - `text_embeddings` (Tensor of shape (P, D)): unit length, one row a text.
    - `fused_embeddings` (Tensor of shape (P, D)): z(i, t), unit length.
    - `scores` (Tensor of shape (C,)) and `prediction` (Tensor, a class): of a classifier or an answer
      ranker; -inf for classes that were not ranked.
    - `hypothesis` (str): of a translator.
    """
