"""Whatever a gateway answers in these tests has the shape that its method promises, with no field more or less."""

from collections.abc import Iterator

import pytest
from answer_shapes import check_answer

from net.gateway.api import Call, Reply


@pytest.fixture(autouse=True)
def answers_have_their_shapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plain = Call.result
    faults: list[str] = []

    def checked(self: Call, result: object) -> Reply:
        reply = plain(self, result)
        faults.extend(check_answer(self.request.method, reply.text))
        return reply

    monkeypatch.setattr(Call, "result", checked)
    yield
    assert faults == []
