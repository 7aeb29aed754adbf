"""The watermark of a live source, which the runner keeps with the source's restriction."""

from typing import Any

from apache_beam.coders import Coder, NullableCoder, TimestampCoder
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import WatermarkEstimatorProvider
from apache_beam.utils.timestamp import Timestamp


class GivenWatermark(WatermarkEstimatorProvider):
    """For a reading step that sets its watermark itself.

    A source starts without a watermark. After a checkpoint it goes on with the one that it has
    given to the runner.
    """

    def initial_estimator_state(self, element: Any, restriction: Any) -> Timestamp | None:
        """No watermark yet."""
        return None

    def create_watermark_estimator(
        self, estimator_state: Timestamp | None
    ) -> ManualWatermarkEstimator:
        """An estimator with the watermark that the reading step has set."""
        return ManualWatermarkEstimator(estimator_state)

    def estimator_state_coder(self) -> Coder:
        """For the state that a checkpoint keeps."""
        return NullableCoder(TimestampCoder())
