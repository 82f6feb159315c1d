"""
What the customers' pages say of a value that has several: reasons, obstacles, places of a reward, deeds.

`N_` marks a sentence for the catalogues. "We could not ask" and "you did not do it" are never one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


def N_(text: str) -> str:
    """A sentence that is translated where it is said."""
    return text


@dataclass(frozen=True, slots=True)
class Said:
    """A title, what it means, and what can be done now."""

    title: str
    text: str
    then: str = ""
    again: bool = False  # whether beginning again is what can be done


#: What a customer is asked to do, by the action's name. One that is not here is told in the source's own words.
DEEDS: Mapping[str, str] = {
    "follow": N_("Follow us on %(platform)s"),
    "subscribe": N_("Subscribe to us on %(platform)s"),
    "like": N_("Like our post on %(platform)s"),
    "comment": N_("Leave a comment on %(platform)s"),
    "reply": N_("Reply to us on %(platform)s"),
    "repost": N_("Share our post on %(platform)s"),
    "quote": N_("Quote our post on %(platform)s"),
    "post": N_("Publish a post on %(platform)s"),
    "join": N_("Join us on %(platform)s"),
    "member": N_("Become a member on %(platform)s"),
    "role": N_("Earn the role on %(platform)s"),
    "boost": N_("Boost our server on %(platform)s"),
    "paid": N_("Support us on %(platform)s"),
    "friend": N_("Add us as a friend on %(platform)s"),
    "message": N_("Send us a message on %(platform)s"),
}
CONNECT = N_("Connect your %(platform)s account")
PLATFORM = N_("the platform")

#: What is done with the permission that the customer gives.
KEPT: Mapping[str, str] = {
    "nothing": N_("As soon as we know which account is yours, we give the permission back."),
    "until checked": N_("We keep the permission, encrypted, until the check is over. Then we give it back."),
    "until the wait ends": N_(
        "We keep the permission, encrypted, until your reward leaves, because we look once more then. After that we "
        "give it back."
    ),
}

#: Asked, and no answer that counts: what stands in the way.
OBSTACLES: Mapping[str, Said] = {
    "": Said(
        N_("We could not find out yet"),
        N_("%(platform)s did not give us an answer that we can rely on. That says nothing about you."),
        N_("We ask again by ourselves. You need not do anything."),
    ),
    "busy": Said(
        N_("We could not ask just now"),
        N_("%(platform)s is not answering us at the moment. That says nothing about you."),
        N_("We ask again by ourselves. You need not do anything."),
    ),
    "private": Said(
        N_("Your settings hide it from us"),
        N_("The privacy settings of your %(platform)s account do not let us look."),
        N_("Make it visible, then check again. Once the check is done you can hide it again."),
    ),
    "reconnect": Said(
        N_("We may no longer ask"),
        N_("The permission you gave us at %(platform)s has ended or was not enough. That says nothing about you."),
        N_("Connect the account once more."),
        again=True,
    ),
    "incomplete": Said(
        N_("Your account lacks something"),
        N_("This %(platform)s account has not got what is needed for this, for example a channel of its own."),
        N_("Set it up at %(platform)s, or use another account. Then check again."),
    ),
    "given": Said(
        N_("We do not recognise the link"),
        N_("What you pasted does not lead to something that you wrote for us on %(platform)s."),
        N_("Copy the link of your own post or comment, paste it here and check again."),
    ),
    "brand": Said(
        N_("The shop has to put something right"),
        N_("The shop's own access to %(platform)s does not work at the moment. You did nothing wrong."),
        N_("The shop has been told. We ask again by ourselves."),
    ),
}

#: Why the way ended, by the name of the kit's FlowError.
STOPPED: Mapping[str, Said] = {
    "bad_ticket": Said(
        N_("This link does not work"),
        N_("It is not a link that the shop has made, or a part of it got lost on the way. Nothing was read."),
        N_("Open the link in the shop once more."),
    ),
    "repeated_field": Said(
        N_("This link does not work"),
        N_("Something stands in it twice. Nothing was read."),
        N_("Open the link in the shop once more."),
    ),
    "empty_customer": Said(
        N_("We do not know who you are"),
        N_("This link names no loyalty account."),
        N_("Sign in at the shop, then open the link there once more."),
    ),
    "too_long": Said(
        N_("That was too long"),
        N_("More was sent than can be right here. Nothing was read."),
        N_("Open the link in the shop once more. If you pasted something, paste only the link itself."),
    ),
    "forged_ticket": Said(
        N_("This link is not genuine"),
        N_("It was changed after the shop had made it, or somebody else made it. Nothing was read."),
        N_("Open the link in the shop itself, while you are signed in there."),
    ),
    "expired_ticket": Said(
        N_("This link is too old"),
        N_("Links from the shop work for a limited time, and this one's time is over."),
        N_("Open the link in the shop once more: you get a fresh one."),
    ),
    "not_signed_in": Said(
        N_("You are not signed in at the shop"),
        N_("Without that we do not know whose reward it would be."),
        N_("Sign in at the shop, then open the link there once more."),
    ),
    "state_mismatch": Said(
        N_("This sign-in cannot go on here"),
        N_("It was begun in another browser, has been used already, or your browser accepts no cookies. "
           "Nothing was connected."),
        N_("Begin again and stay in one browser until you are back here."),
        again=True,
    ),
    "issuer_mismatch": Said(
        N_("The answer came from somewhere else"),
        N_("Another site than %(platform)s has answered. Nothing was connected."),
        N_("Begin again."),
        again=True,
    ),
    "consent_denied": Said(
        N_("You cancelled the sign-in"),
        N_("Nothing was connected and nothing was read."),
        N_("If you change your mind, begin again."),
        again=True,
    ),
    "scopes_missing": Said(
        N_("We need a little more permission"),
        N_("At %(platform)s something was left out without which we cannot check. Nothing was connected."),
        N_("Begin again and leave everything ticked."),
        again=True,
    ),
    "sign_in_refused": Said(
        N_("The sign-in did not succeed"),
        N_("%(platform)s did not complete it. Nothing was connected."),
        N_("Begin again."),
        again=True,
    ),
    "disconnected": Said(
        N_("We may no longer ask"),
        N_("The permission you gave us at %(platform)s has ended. That says nothing about you."),
        N_("Connect the account once more."),
        again=True,
    ),
    "home_unknown": Said(
        N_("We cannot find that address"),
        N_("There is no server or handle of this name where we could sign you in."),
        N_("Look at how it is spelled, then begin again."),
        again=True,
    ),
    "claim_expired": Said(
        N_("The time is over"),
        N_("We asked for as long as the shop allows, and stopped."),
        N_("You can begin again."),
        again=True,
    ),
}  # fmt: skip

#: Where a reward is: a few words, and what they mean.
WHERE: Mapping[str, Said] = {
    "": Said(N_("Not decided yet"), N_("First we check that it is done.")),
    "on its way": Said(N_("On its way"), N_("It is yours, and is being booked to your loyalty account.")),
    "waiting": Said(N_("Reserved for you"), N_("It leaves at the time named here, if it is still true then.")),
    "arrived": Said(N_("Arrived"), N_("It is in your loyalty account.")),
    "the shop is looking at it": Said(
        N_("The shop is looking at it"), N_("It has not been forgotten. Somebody at the shop takes care of it.")
    ),
    "withdrawn": Said(N_("Withdrawn"), N_("It was no longer true when we looked once more.")),
    "not owed": Said(N_("No reward"), N_("The shop's conditions for it are not met.")),
}
#: Why a reward is not owed.
WHY: Mapping[str, str] = {
    "limit": N_("You have had this reward before, as often as the shop gives it."),
    "condition": N_("The shop's conditions for it are not met."),
    "already": N_("It was so before you were asked, and the shop rewards only what is new."),
    "age": N_("The shop asks for an account that has existed for longer."),
    "followers": N_("The shop asks for an account with more followers."),
    "account": N_("The shop asks for an account that is older or has more followers."),
    "refused": N_("The shop has looked at it and said no."),
}

#: Names of what a target answered, as far as they are usual; any other is shown as it is called.
SHOWN: Mapping[str, str] = {
    "message": N_("Message"),
    "code": N_("Your code"),
    "wincode": N_("Your code"),
    "coupon": N_("Your code"),
    "points": N_("Points"),
    "pointsearned": N_("Points"),
    "totalpoints": N_("Points in total"),
    "prizetier": N_("Prize"),
    "prizepoints": N_("Points with the prize"),
    "prizemessage": N_("Message"),
    "rewardscampaignname": N_("Campaign"),
    "achievedcount": N_("Times achieved"),
    "won": N_("Won"),
}
YES, NO = N_("Yes"), N_("No")
