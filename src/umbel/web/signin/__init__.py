"""Who comes in to the dashboard and its API, and what they may do there (C44).

``user``: what a host application tells of its own users; ``tokens``: Bearer and Basic; ``sessions``: signed cookies of
those who came through the sign-in page; ``openid``: OpenID Connect; ``entrance`` asks all of them in one place and
turns strangers away; ``forgery``: what protects against forged requests; ``people``: what handlers ask for.
"""
