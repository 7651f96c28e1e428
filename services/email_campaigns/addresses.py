"""What counts as an e-mail address here, and its one spelling."""

from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

__all__ = ("Address", "normal_address")


def normal_address(text: str) -> str:
    """Return the address as it is stored and compared: lower case, an international domain in its ASCII form.

    Raises ``ValueError`` with the reason when it is none. No name server is asked.
    """
    if "=?" in text:
        # A header would decode it, and the mail would go to another address than the one that is stored.
        raise ValueError("The address is written as an encoded word; write it plainly.")
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return (found.ascii_email or found.normalized).lower()


Address = Annotated[str, Field(max_length=320, examples=["ada@example.test"]), AfterValidator(normal_address)]
