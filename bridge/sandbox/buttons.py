"""The buttons of the page in their order, and an order in which to press them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import acts, weather
from .acts import Act
from .stage import Stage

LISTED: Sequence[Act] = (
    Act(
        name="follow",
        group="twitch",
        button="Follow on Twitch",
        says="Twitch sends a signed webhook. Six seconds later, if they still follow, Gameball gives 50 points. Once.",
        play=acts.follow,
    ),
    Act(
        name="unfollow",
        group="twitch",
        button="Stop following",
        says="Within the six seconds it withdraws the points. Twitch sends nothing, so the bridge asks before it pays.",
        play=acts.unfollow,
    ),
    Act(
        name="second",
        group="twitch",
        button="Follow with a second account",
        says="Another Twitch account of the same customer. Expect evidence, and no second reward.",
        play=acts.second,
    ),
    Act(
        name="subscribe",
        group="twitch",
        button="Subscribe on Twitch",
        says="Popsell gives 20 points and 20 score at once. Once for each customer.",
        play=acts.subscribe,
    ),
    Act(
        name="link",
        group="twitch",
        button="Connect Twitch",
        says="Nobody knows yet which Twitch accounts are Cleo's, so her follow waits. This tells the bridge.",
        play=acts.link,
    ),
    Act(
        name="order",
        group="shop",
        button="Order for 80 euro",
        says="The CRM hears at once. Ten seconds later Gameball gives 100 points, and Voyado one checkpoint of five.",
        play=acts.ordering("order", "80"),
    ),
    Act(
        name="small",
        group="shop",
        button="Order for 30 euro",
        says="Below the 50 euro of the rule for points: a checkpoint, and no points.",
        play=acts.ordering("small", "30"),
    ),
    Act(
        name="refund",
        group="shop",
        button="Return the last order",
        says="Within ten seconds it withdraws both. Later Gameball's points are taken back by a call of their own; "
        "Voyado's checkpoint is for a person to take back.",
        play=acts.refund,
    ),
    Act(
        name="review",
        group="shop",
        button="Write a review",
        says="A play in GamifyHost's draw; about every other wins. The prize code goes to the CRM, and is masked here.",
        play=acts.review,
    ),
    Act(
        name="join",
        group="shop",
        button="Open an account",
        says="GamifyHost gives 25 points for the welcome. It takes our reference once, so a repeat is harmless.",
        play=acts.join,
    ),
    Act(
        name="crowd",
        group="crowd",
        button="Twenty customers order at once",
        says="Twenty webhooks. The CRM is called twenty times; ten seconds later one call carries all checkpoints to "
        "Voyado.",
        play=acts.crowd,
    ),
    Act(
        name="thrice",
        group="internet",
        button="Deliver it three times more",
        says="The last webhook again, three at the same moment. Expect three acknowledgements and nothing else.",
        play=acts.thrice,
    ),
    Act(
        name="captured",
        group="internet",
        button="Replay it under a new id",
        says="The shop's signature does not cover the webhook's id. The order is known all the same.",
        play=acts.captured,
    ),
    Act(
        name="forged",
        group="internet",
        button="Forge a webhook",
        says="An order for 9999 euro, signed with a guess. Expect 401 and a line among the rejections.",
        play=acts.forged,
    ),
    *map(weather.misbehaving, weather.WAYS),
    Act(
        name="sale",
        group="api",
        button="Popsell: hang up during a sale",
        says="As above, while a sale moves the score too. Nobody can tell what happened, so a person decides.",
        play=weather.sale,
    ),
    Act(name="up", group="api", button="Be well again", says="Lifts whatever is wrong with it.", play=weather.up),
)

ACTS: Mapping[str, Act] = {act.name: act for act in LISTED}

#: What to press next, and why; whatever has been pressed is left out.
TOUR: Mapping[str, str] = {
    "follow": "Begin with one fact that earns.",
    "thrice": "Senders repeat themselves. One fact earns once.",
    "forged": "Anybody can send to a public address.",
    "dropped": "Now make life hard for the bridge, and order after it.",
    "order": "One order is told to three APIs, each by a call of its own.",
    "review": "A draw at GamifyHost. Try it until it wins.",
    "crowd": "Many at once.",
    "sale": "A doubt that no question settles. Subscribe after it.",
    "subscribe": "Popsell gives points and score; this one a person may have to look at.",
    "revoked": "The worst day: somebody has revoked our key. Then let somebody earn something there.",
    "up": "Mend it; if the bridge has paused it, resume it.",
}


def suggested(stage: Stage) -> tuple[Act, str] | None:
    """What to press next, and why; None where everything has been pressed."""
    pressed = {played.act for played in stage.played}
    return next(((ACTS[name], why) for name, why in TOUR.items() if name not in pressed), None)
