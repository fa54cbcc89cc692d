"""The box head of bottom-up attention, which also names attributes; imports mmdet, so import it only to build."""

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn

__all__ = ['AttributeBBoxHead']


@MODELS.register_module()
class AttributeBBoxHead(BBoxHead):
    """Classes, boxes and attributes from the averaged ROI feature (Anderson et al. 2018).

    The attributes of a region depend on its class: an embedding of the class is joined to the feature, and both go
    through a hidden layer. Within mmdet the head acts as a plain `BBoxHead`; attributes are asked for apart, with
    `predict_attributes`, since they are wanted at the final boxes alone.

    Args:
        num_attributes: A.
        embedding_dim: width of the class embedding.
        hidden_dim: width of the hidden layer.
        none_attribute: the attribute layer has one output more, the last, for "no attribute".
        kwargs: as mmdet's `BBoxHead`; `with_avg_pool` is needed.
    """

    def __init__(
        self,
        *args: Any,
        num_attributes: int = 400,
        embedding_dim: int = 256,
        hidden_dim: int = 512,
        none_attribute: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.num_attributes = num_attributes
        self.cls_embedding = nn.Embedding(self.num_classes + 1, embedding_dim)
        self.fc_attr = nn.Linear(self.fc_cls.in_features + embedding_dim, hidden_dim)
        self.attr_score = nn.Linear(hidden_dim, num_attributes + int(none_attribute))

    def predict_attributes(self, features_NF: Tensor, labels_N: Tensor) -> Tensor:
        """Probabilities of attributes.

        Args:
            features_NF: the averaged ROI features.
            labels_N: class of each region; `num_classes` is the background.

        Returns:
            Shape (N, A); a row sums to 1 together with the probability of "no attribute".
        """
        hidden_NH = torch.cat([features_NF, self.cls_embedding(labels_N).to(features_NF.dtype)], 1)
        logits_NA = self.attr_score(torch.relu(self.fc_attr(hidden_NH)))
        return logits_NA.float().softmax(-1)[:, : self.num_attributes]
