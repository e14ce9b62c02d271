"""The shapes of the answers, as the OpenAPI description tells them; a test holds every answer against its shape."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListedItem(_Answer):
    """One item of a list."""

    item: str
    title: str = Field(description='"" where none is known')
    score: float | None = Field(description="of the blend; of a fallback there is none")


class After(_Answer):
    """The last event folded into a list."""

    partition: int
    offset: int
    event_id: str


class Recommendations(_Answer):
    """A user's newest list, or the fallback."""

    user: str
    source: Literal["list", "fallback"] = Field(description="fallback: the user has no list; what is popular now")
    items: list[ListedItem] = Field(description="best first")
    at: int | None = Field(description="event time of the refresh, Unix ms: the last millisecond of its tick")
    age_s: float | None = Field(
        description="live: seconds since the list reached its topic; of a replay: event time from it to the run's end"
    )
    head: int | None = Field(description="version of the head: the tick of the newest learning step in it")
    model_id: str | None = Field(description="of the encoder behind the item vectors")
    after: After | None


class SimilarItem(_Answer):
    """An item near another."""

    item: str
    title: str
    cosine: float


class Similar(_Answer):
    """The items nearest to an item by the frozen encoder's vectors."""

    item: str
    title: str
    model_id: str
    items: list[SimilarItem]


class Users(_Answer):
    """Users to pick from."""

    users: list[str]


class Health(_Answer):
    """Whether the server works."""

    status: Literal["ok"]


class Readiness(_Answer):
    """Whether everything that was there at the start has been read."""

    ready: bool
    behind: int = Field(description="records that wait to be read")


class Problem(_Answer):
    """What was wrong with a request."""

    detail: str


class Click(BaseModel):
    """An event to send."""

    model_config = ConfigDict(extra="forbid")
    user: str = Field(min_length=1, max_length=256)
    item: str = Field(min_length=1, max_length=256)


class Sent(_Answer):
    """An event that the broker has taken."""

    event_id: str
    at: int = Field(description="its event time, Unix ms")
    partition: int
    offset: int


class Login(BaseModel):
    """The token of the server."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(max_length=4096)
