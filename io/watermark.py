"""The watermark of a live source: what the runner has been given, kept with the restriction."""

from typing import Any

from apache_beam.coders import Coder, NullableCoder, TimestampCoder
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import WatermarkEstimatorProvider
from apache_beam.utils.timestamp import Timestamp


class GivenWatermark(WatermarkEstimatorProvider):
    """Starts without a watermark; a source that goes on begins at the one it has given."""

    def initial_estimator_state(self, element: Any, restriction: Any) -> Timestamp | None:
        """No watermark yet."""
        return None

    def create_watermark_estimator(
        self, estimator_state: Timestamp | None
    ) -> ManualWatermarkEstimator:
        """An estimator that stands where the reading step has set it."""
        return ManualWatermarkEstimator(estimator_state)

    def estimator_state_coder(self) -> Coder:
        """For the state that a checkpoint keeps."""
        return NullableCoder(TimestampCoder())
