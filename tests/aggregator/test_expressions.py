"""Expressions are functions, and mean the same when they are built into one."""

from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.expressions import FunctionBuilder, SharedValue, expression

NUMBERS = st.integers(-100, 100)


def plus(a: int, b: int) -> int:
    return a + b


def built(function, **arguments: str):
    builder = FunctionBuilder()
    for name, text in builder.shared_values([function], **arguments).items():
        builder.lines.append(f" {name} = {text}")
    builder.lines.append(f" return {builder.call(function, **arguments)}")
    return builder.function(", ".join(arguments.values()))


@given(NUMBERS, NUMBERS)
def test_a_built_expression_gives_what_the_function_gives(ir: int, value: int) -> None:
    shifted = expression("ir, value", "add(ir, value) * SCALE", add=plus, SCALE=3)
    assert shifted(ir, value) == (ir + value) * 3
    assert built(shifted, ir="ir", value="value")(ir, value) == (ir + value) * 3


@given(NUMBERS, NUMBERS)
def test_a_plain_function_is_called_with_its_arguments_in_order(ir: int, value: int) -> None:
    assert built(lambda a, b: a - b, ir="x", value="y")(ir, value) == ir - value


def test_what_is_given_is_made_once_for_several_expressions() -> None:
    made: list[int] = []

    def square(value: int) -> int:
        made.append(value)
        return value * value

    both = [
        expression("ir, value", f"ir {sign} squared", squared=SharedValue(square, "value"))
        for sign in "+-"
    ]
    builder = FunctionBuilder()
    arguments = {"ir": "ir", "value": "value"}
    for name, text in builder.shared_values(both, **arguments).items():
        builder.lines.append(f" {name} = {text}")
    calls = ", ".join(builder.call(one, **arguments) for one in both)
    builder.lines.append(f" return {calls}")
    assert builder.function("ir, value")(1, 3) == (10, -8)
    assert made == [3]
    assert both[0](1, 3) == 10


def test_names_of_different_expressions_do_not_meet() -> None:
    one = expression("ir", "step(ir)", step=lambda ir: ir + 1)
    two = expression("ir", "step(ir)", step=lambda ir: ir * 2)
    builder = FunctionBuilder()
    builder.lines.append(f" return {builder.call(one, ir='ir')}, {builder.call(two, ir='ir')}")
    assert builder.function("ir")(5) == (6, 10)
