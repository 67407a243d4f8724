# The policy that ships with the product: everything unknown is denied.
#
# - Reads are allowed.
# - Reviewed writes that can be repeated, probed or undone are allowed while their risk is low or medium.
# - An untrusted value that decides who receives money, data or rights (`recipients` of the contract), or the amount,
#   needs an approval too.
# - Money, deletes, permission changes, irreversible effects, unreviewed actions and untrusted values in high-risk
#   arguments need the approval of one operator or admin; critical risk needs two.
#
# The input document is described in docs/policies.md.
package omnihub

import rego.v1

kinds := {"read", "write", "delete", "money", "permission"}

classes := {"pure", "read", "idempotent", "probeable", "compensable", "irreversible"}

levels := {"low", "medium", "high", "critical"}

reversible := {"pure", "idempotent", "probeable", "compensable"}

# Names of arguments that steer where something goes or what is run: an outside value there is dangerous.
steering := {
	"to", "recipient", "destination", "account", "iban", "bic", "wallet", "address", "email", "url", "uri", "host",
	"path", "command", "script", "query", "sql", "role", "roles", "permission", "permissions", "grant", "amount",
	"currency",
}

# Whatever is not understood is denied, before anything else is looked at.
deny contains "the kind of effect is unknown" if not input.action.effect in kinds

deny contains "the effect class is unknown" if not input.action.class in classes

deny contains "the risk level is unknown" if not input.risk.level in levels

deny contains "it is unknown whether the action was reviewed" if not is_boolean(input.action.reviewed)

deny contains "the provenance of the arguments is unknown" if not is_array(input.provenance)

is_read if {
	input.action.effect == "read"
	input.action.class in {"read", "pure"}
}

approvers := 2 if input.risk.level == "critical"

approvers := 1 if input.risk.level in {"low", "medium", "high"}

ask(message) := {"message": message, "approvers": approvers, "roles": ["operator", "admin"]}

approve contains ask("it moves money") if input.action.effect == "money"

approve contains ask("it deletes") if input.action.effect == "delete"

approve contains ask("it changes permissions") if input.action.effect == "permission"

approve contains ask("a read claims a class that changes things") if {
	input.action.effect == "read"
	not input.action.class in {"read", "pure"}
}

approve contains ask("a value from outside becomes trusted") if input.action.operation == "declassify:1.0.0"

approve contains ask("it cannot be undone") if input.action.class == "irreversible"

approve contains ask("nobody reviewed the action's contract") if {
	not is_read
	input.action.reviewed == false
}

approve contains ask(sprintf("the risk is %s (%v of 100)", [input.risk.level, input.risk.score])) if {
	not is_read
	input.risk.level in {"high", "critical"}
}

approve contains ask(sprintf("`%s` comes from outside and steers the effect", [argument.pointer])) if {
	not is_read
	is_array(input.provenance)
	some argument in input.provenance
	argument.untrusted != false
	is_steering(argument.pointer)
}

# What somebody receives by an effect of this kind.
received := "money" if input.action.effect == "money"

received := "rights" if input.action.effect == "permission"

received := "data" if {
	not input.action.effect in {"money", "permission"}
	is_array(input.action.data)
	count(input.action.data) > 0
}

approve contains ask(sprintf("`%s` comes from outside and decides who receives %s", [argument.pointer, received])) if {
	not is_read
	is_array(input.provenance)
	is_array(input.action.recipients)
	some argument in input.provenance
	argument.untrusted != false
	some recipient in input.action.recipients
	leads_to(argument.pointer, recipient)
}

approve contains ask(sprintf("`%s` comes from outside and decides the amount", [argument.pointer])) if {
	not is_read
	is_array(input.provenance)
	is_string(input.action.amount_pointer)
	some argument in input.provenance
	argument.untrusted != false
	leads_to(argument.pointer, input.action.amount_pointer)
}

# The argument is what the contract names, a part of it, or (also as the whole document) what holds it.
leads_to(pointer, named) if pointer == named

leads_to(pointer, named) if startswith(pointer, concat("", [named, "/"]))

leads_to(pointer, named) if startswith(named, concat("", [pointer, "/"]))

# The whole document from outside, or a name that steers anywhere in the pointer.
is_steering("") if true

is_steering(pointer) if {
	some name in split(lower(pointer), "/")
	name in steering
}

allow if is_read

allow if {
	input.action.effect == "write"
	input.action.reviewed == true
	input.action.class in reversible
	input.risk.level in {"low", "medium"}
}
