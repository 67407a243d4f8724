Feature: Listen
  Signals to one execution: early, late, several, filtered.

  Scenario: A signal ends the wait, and the output is a list
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-signal-ends-the-wait-and-the-output-is-a-list, version: '1.0.0' }
    do:
      - wait: { listen: { to: { one: { with: { type: go, omnihubexecution: '${ $workflow.id }' } } } } }
    """
    When the workflow is executed
    And signal go is sent with data:
    """yaml
    n: 1
    """
    Then the workflow should complete with output:
    """yaml
    - n: 1
    """

  Scenario: A signal that comes early is kept, also over a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-signal-that-comes-early-is-kept-also-over-a-rest, version: '1.0.0' }
    do:
      - first: { listen: { to: { one: { with: { type: first, omnihubexecution: '${ $workflow.id }' } } } } }
      - second: { listen: { to: { one: { with: { type: second, omnihubexecution: '${ $workflow.id }' } } } } }
    """
    When the workflow is executed
    And signal second is sent with data:
    """yaml
    n: 2
    """
    And the runtime restarts
    And signal first is sent with data:
    """yaml
    n: 1
    """
    Then the workflow should complete with output:
    """yaml
    - n: 2
    """

  Scenario: All waits for each of them, in any order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: all-waits-for-each-of-them-in-any-order, version: '1.0.0' }
    do:
      - both: { listen: { to: { all: [ { with: { type: a, omnihubexecution: '${ $workflow.id }' } }, { with: { type: b, omnihubexecution: '${ $workflow.id }' } } ] } } }
      - count: { set: { n: '${ length }' } }
    """
    When the workflow is executed
    And signal b is sent
    And signal a is sent
    Then the workflow should complete with output:
    """yaml
    n: 2
    """

  Scenario: Any ends with the first
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: any-ends-with-the-first, version: '1.0.0' }
    do:
      - either: { listen: { to: { any: [ { with: { type: a, omnihubexecution: '${ $workflow.id }' } }, { with: { type: b, omnihubexecution: '${ $workflow.id }' } } ] } } }
    """
    When the workflow is executed
    And signal b is sent with data:
    """yaml
    which: b
    """
    Then the workflow should complete with output:
    """yaml
    - which: b
    """

  Scenario: Until goes on until it holds
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: until-goes-on-until-it-holds, version: '1.0.0' }
    do:
      - some: { listen: { to: { any: [ { with: { type: a, omnihubexecution: '${ $workflow.id }' } } ], until: 'length == 2' } } }
    """
    When the workflow is executed
    And signal a is sent with data:
    """yaml
    1
    """
    And signal a is sent with data:
    """yaml
    2
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  Scenario: A filter on the data passes others over
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-on-the-data-passes-others-over, version: '1.0.0' }
    do:
      - big: { listen: { to: { one: { with: { type: a, omnihubexecution: '${ $workflow.id }', data: '${ .n > 5 }' } } } } }
    """
    When the workflow is executed
    And signal a is sent with data:
    """yaml
    n: 1
    """
    And signal a is sent with data:
    """yaml
    n: 9
    """
    Then the workflow should complete with output:
    """yaml
    - n: 9
    """

  Scenario: A signal that nobody sends leaves it waiting
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-signal-that-nobody-sends-leaves-it-waiting, version: '1.0.0' }
    do:
      - wait: { listen: { to: { one: { with: { type: go, omnihubexecution: '${ $workflow.id }' } } } } }
    """
    When the workflow is executed
    And signal other is sent
    Then the workflow should wait

  Scenario: A listener's time limit can be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-listener-s-time-limit-can-be-caught, version: '1.0.0' }
    do:
      - attempt:
          try:
            - wait: { listen: { to: { one: { with: { type: go, omnihubexecution: '${ $workflow.id }' } } } }, timeout: { after: PT0.05S } }
          catch: { errors: { with: { status: 408 } }, do: [ { late: { set: { late: true } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    late: true
    """
