"""Role documents for people: filled in with what is known here, as JSON, CloudFormation or Terraform."""
