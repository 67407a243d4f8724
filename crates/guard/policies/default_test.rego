# Tests of the default policy.
package omnihub_test

import rego.v1

import data.omnihub

base := {
	"tenant": "acme",
	"principal": {"id": "user:alice", "kind": "user", "roles": ["developer"]},
	"workflow": {"namespace": "shop", "name": "refund", "version": "1.0.0"},
	"task": "/do/0/refund",
	"action": {
		"operation": "order-note:1.0.0",
		"reviewed": true,
		"effect": "write",
		"class": "idempotent",
		"blast_radius": {"scope": "customer", "max": 1, "unit": "order"},
		"data": [],
		"target": "http://shop.example/orders/1042",
	},
	"arguments": {"orderId": "1042"},
	"amount": null,
	"provenance": [{"pointer": "/orderId", "origins": ["intent"], "untrusted": false}],
	"risk": {"score": 18, "level": "low", "factors": []},
	"mode": "run",
}

with_action(changes) := object.union(base, {"action": changes})

with_risk(level) := object.union(base, {"risk": {"level": level}})

asked(document) := found if {
	entries := omnihub.approve with input as document
	found := {entry.approvers | some entry in entries}
}

test_reads_are_allowed if {
	omnihub.allow with input as with_action({"effect": "read", "class": "read", "reviewed": false})
	count(omnihub.approve) == 0 with input as with_action({"effect": "read", "class": "read", "reviewed": false})
}

test_reversible_reviewed_writes_are_allowed if {
	omnihub.allow with input as base
	count(omnihub.approve) == 0 with input as base
	count(omnihub.deny) == 0 with input as base
}

test_medium_risk_is_allowed if omnihub.allow with input as with_risk("medium")

test_high_risk_asks_one if asked(with_risk("high")) == {1}

test_critical_risk_asks_two if asked(with_risk("critical")) == {2}

test_money_asks if asked(with_action({"effect": "money"})) == {1}

test_deletes_ask if asked(with_action({"effect": "delete"})) == {1}

test_permissions_ask if asked(with_action({"effect": "permission"})) == {1}

test_compensable_is_allowed_like_probeable if {
	omnihub.allow with input as with_action({"class": "compensable"})
	count(omnihub.approve) == 0 with input as with_action({"class": "compensable"})
	count(omnihub.deny) == 0 with input as with_action({"class": "compensable"})
}

test_irreversible_asks if asked(with_action({"class": "irreversible"})) == {1}

test_unreviewed_write_asks if asked(with_action({"reviewed": false})) == {1}

test_untrusted_steering_asks if {
	asked(object.union(base, {"provenance": [{"pointer": "/to", "origins": ["external"], "untrusted": true}]})) == {1}
}

test_untrusted_note_does_not_ask if {
	document := object.union(base, {"provenance": [{"pointer": "/note", "origins": ["model"], "untrusted": true}]})
	count(omnihub.approve) == 0 with input as document
}

test_unknown_is_denied if {
	count(omnihub.deny) == 5 with input as {}
	not omnihub.allow with input as {}
}

test_unknown_kind_is_denied if count(omnihub.deny) == 1 with input as with_action({"effect": "summon"})

with_recipient(action, pointer, untrusted) := object.union(with_action(action), {"provenance": [{
	"pointer": pointer, "origins": ["external"], "untrusted": untrusted,
}]})

messages(document) := found if {
	entries := omnihub.approve with input as document
	found := {entry.message | some entry in entries}
}

test_untrusted_recipient_of_data_asks if {
	document := with_recipient({"data": ["personal"], "recipients": ["/reader"]}, "/reader", true)
	messages(document) == {"`/reader` comes from outside and decides who receives data"}
}

test_untrusted_recipient_of_money_asks if {
	document := with_recipient({"effect": "money", "recipients": ["/payee"]}, "/payee/number", true)
	messages(document) == {"it moves money", "`/payee/number` comes from outside and decides who receives money"}
}

test_untrusted_recipient_of_rights_asks if {
	document := with_recipient({"effect": "permission", "recipients": ["/members/0"]}, "/members", true)
	messages(document) == {"it changes permissions", "`/members` comes from outside and decides who receives rights"}
}

test_a_whole_document_from_outside_holds_every_recipient if {
	document := with_recipient({"data": ["personal"], "recipients": ["/reader"]}, "", true)
	"`` comes from outside and decides who receives data" in messages(document)
}

test_untrusted_amount_asks if {
	document := with_recipient({"amount_pointer": "/total"}, "/total", true)
	messages(document) == {"`/total` comes from outside and decides the amount"}
}

test_trusted_recipient_does_not_ask if {
	document := with_recipient({"data": ["personal"], "recipients": ["/reader"]}, "/reader", false)
	messages(document) == set()
}

test_a_name_that_only_begins_the_same_does_not_ask if {
	document := with_recipient({"data": ["personal"], "recipients": ["/reader"]}, "/readers", true)
	messages(document) == set()
}

test_a_recipient_of_nothing_sensitive_does_not_ask if {
	document := with_recipient({"data": [], "recipients": ["/reader"]}, "/reader", true)
	messages(document) == set()
}

test_declassification_asks if {
	document := with_action({"operation": "declassify:1.0.0", "effect": "read", "class": "pure"})
	messages(document) == {"a value from outside becomes trusted"}
}
