"""What is known of an order: its buyer, the friend it is for, and the flavor, in one answer."""

from chronon_beam.api import Derivation, Join, JoinPart

from .flavors import flavors
from .group_by import ice_cream_group_by

order = Join(
    right_parts=[
        JoinPart(
            group_by=ice_cream_group_by,
            key_mapping={"buyer": "customer_id"},
            prefix="buyer",
        ),
        JoinPart(
            group_by=ice_cream_group_by,
            key_mapping={"friend": "customer_id"},
            prefix="friend",
        ),
        JoinPart(group_by=flavors),
    ],
    derivations=[
        Derivation(name="*", expression="*"),
        Derivation(name="sold", expression="ice_cream_flavors_flavors_cone_count_6h"),
    ],
)
