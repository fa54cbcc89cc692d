"""Log lines that fit a terminal."""

from typing import Any

from mmengine.runner import LogProcessor

from rc3mm.registry import LOG_PROCESSORS

__all__ = ['RC3LogProcessor']


@LOG_PROCESSORS.register_module()
class RC3LogProcessor(LogProcessor):
    """MMEngine's processor, with the numbers of single languages left out of the line after an evaluation.

    A retrieval evaluation has a dozen numbers a language. All of them go to the scalar files and TensorBoard; the line
    shows the headlines. Arguments are those of `mmengine.runner.LogProcessor`.
    """

    def get_log_after_epoch(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], str]:
        """As the base class; names with two slashes (`retrieval/de/t2i_R@1`) stay out of the string."""
        tag, line = super().get_log_after_epoch(*args, **kwargs)
        return tag, '  '.join(part for part in line.split('  ') if part.partition(':')[0].count('/') < 2)
