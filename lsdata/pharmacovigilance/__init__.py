"""The pharmacovigilance room: from spontaneous reports to signals a reviewer can trust."""
