Feature: Updates
  What is asked of an execution is weighed, durable, handled once and answered.

  Scenario: Updates are answered by foreach
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: updates-are-answered-by-foreach, version: '1.0.0' }
    do:
      - handle:
          listen:
            to:
              any: [ { with: { type: add, omnihubupdate: true, data: '${ if . > 0 then true else error("not that little") end }' } } ]
              until: { one: { with: { type: done, omnihubexecution: '${ $workflow.id }' } } }
          foreach:
            do:
              - pause: { wait: PT0.01S }
              - sum: { set: { total: '${ ($context.total // 0) + $item }' } }
            export: { as: '${ { total: .total } }' }
      - told: { set: '${ $context }' }
    """
    When the workflow is executed
    And update add is sent with data:
    """yaml
    2
    """
    Then the answer should be:
    """yaml
    total: 2
    """
    And update add is sent with data:
    """yaml
    3
    """
    Then the answer should be:
    """yaml
    total: 5
    """
    And signal done is sent
    Then the workflow should complete with output:
    """yaml
    total: 5
    """
    And sum should run 2 times

  Scenario: What is refused changes nothing
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-is-refused-changes-nothing, version: '1.0.0' }
    do:
      - handle:
          listen:
            to:
              any: [ { with: { type: add, omnihubupdate: true, data: '${ if . > 0 then true else error("not that little") end }' } } ]
              until: { one: { with: { type: done, omnihubexecution: '${ $workflow.id }' } } }
          foreach:
            do:
              - pause: { wait: PT0.01S }
              - sum: { set: { total: '${ ($context.total // 0) + $item }' } }
            export: { as: '${ { total: .total } }' }
      - told: { set: '${ $context }' }
    """
    When the workflow is executed
    And update add is sent with data:
    """yaml
    1
    """
    And update add is sent with data:
    """yaml
    0
    """
    Then the update should be refused with OH-2152
    And update take is sent
    Then the update should be refused with OH-2150
    And signal done is sent
    Then the workflow should complete with output:
    """yaml
    total: 1
    """

  Scenario: An answer survives a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-answer-survives-a-restart, version: '1.0.0' }
    do:
      - handle:
          listen:
            to:
              any: [ { with: { type: add, omnihubupdate: true, data: '${ if . > 0 then true else error("not that little") end }' } } ]
              until: { one: { with: { type: done, omnihubexecution: '${ $workflow.id }' } } }
          foreach:
            do:
              - pause: { wait: PT0.01S }
              - sum: { set: { total: '${ ($context.total // 0) + $item }' } }
            export: { as: '${ { total: .total } }' }
      - told: { set: '${ $context }' }
    """
    When the workflow is executed
    And update add is sent with data:
    """yaml
    4
    """
    And the runtime restarts
    And update add is sent with data:
    """yaml
    5
    """
    Then the answer should be:
    """yaml
    total: 9
    """
    And signal done is sent
    Then the workflow should complete with output:
    """yaml
    total: 9
    """

  Scenario: An update needs somebody who answers
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-update-needs-somebody-who-answers, version: '1.0.0' }
    do:
      - one: { listen: { to: { one: { with: { type: add, omnihubupdate: true } } } } }
    """
    When the workflow is executed
    Then the workflow should be refused with OH-1013
