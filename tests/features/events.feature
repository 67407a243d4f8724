Feature: Events
  CloudEvents that are addressed to nobody: who takes them, when, and in which order.

  Scenario: An event reaches whoever listens for its type
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-event-reaches-whoever-listens-for-its-type, version: '1.0.0' }
    do:
      - wait: { listen: { to: { one: { with: { type: kit.placed } } } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.other, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.placed, source: /kit, id: e2, data: { n: 2 } }
    """
    Then the workflow should complete with output:
    """yaml
    - n: 2
    """

  Scenario: Attributes tell events apart and an envelope has them
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: attributes-tell-events-apart-and-an-envelope-has-t, version: '1.0.0' }
    do:
      - wait: { listen: { to: { one: { with: { type: kit.placed, subject: orders } } }, read: envelope } }
      - part: { set: { id: '${ .[0].id }', source: '${ .[0].source }', subject: '${ .[0].subject }' } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.placed, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.placed, source: /kit, id: e2, data: 2, subject: orders }
    """
    Then the workflow should complete with output:
    """yaml
    { id: e2, source: /kit, subject: orders }
    """

  Scenario: Correlation takes the event of this order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: correlation-takes-the-event-of-this-order, version: '1.0.0' }
    do:
      - wait:
          listen:
            to:
              one: { with: { type: kit.paid }, correlate: { order: { from: .data.order, expect: '${ .order }' } } }
    """
    Given the workflow input is:
    """yaml
    order: b
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.paid, source: /kit, id: e1, data: { order: a, sum: 1 } }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.paid, source: /kit, id: e2, data: { order: b, sum: 2 } }
    """
    Then the workflow should complete with output:
    """yaml
    - { order: b, sum: 2 }
    """

  Scenario: An event that comes early is not missed over a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-event-that-comes-early-is-not-missed-over-a-res, version: '1.0.0' }
    do:
      - first: { listen: { to: { one: { with: { type: kit.first } } } } }
      - second: { listen: { to: { one: { with: { type: kit.second } } } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.second, source: /kit, id: e1, data: early }
    """
    And the runtime restarts
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.first, source: /kit, id: e2, data: 1 }
    """
    Then the workflow should complete with output:
    """yaml
    - early
    """

  Scenario: The same source and id count once
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-same-source-and-id-count-once, version: '1.0.0' }
    do:
      - two: { listen: { to: { any: [ { with: { type: kit.n } } ], until: 'length == 2' } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 7 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e2, data: 2 }
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  Scenario: All takes one event for each filter
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: all-takes-one-event-for-each-filter, version: '1.0.0' }
    do:
      - both: { listen: { to: { all: [ { with: { type: kit.a } }, { with: { type: kit.b } } ] } } }
      - sorted: { set: { got: '${ sort }' } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.b, source: /kit, id: e1, data: 2 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.b, source: /kit, id: e2, data: 3 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.a, source: /kit, id: e3, data: 1 }
    """
    Then the workflow should complete with output:
    """yaml
    got: [ 1, 2 ]
    """

  Scenario: An event ends what another one is heard for
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-event-ends-what-another-one-is-heard-for, version: '1.0.0' }
    do:
      - some: { listen: { to: { any: [ { with: { type: kit.n } } ], until: { one: { with: { type: kit.end } } } } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e2, data: 2 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.end, source: /kit, id: e3, data: 0 }
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  Scenario: What ends a listen may have an end of its own
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-ends-a-listen-may-have-an-end-of-its-own, version: '1.0.0' }
    do:
      - some:
          listen:
            to:
              any: [ { with: { type: kit.n } } ]
              until: { any: [ { with: { type: kit.stop } } ], until: { one: { with: { type: kit.sure } } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.stop, source: /kit, id: e2, data: 0 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e3, data: 2 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.sure, source: /kit, id: e4, data: 0 }
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  Scenario: Any event at all
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: any-event-at-all, version: '1.0.0' }
    do:
      - some: { listen: { to: { any: [], until: 'length == 2' } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.x, source: /kit, id: e1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.y, source: /kit, id: e2, data: 2 }
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  Scenario: What a workflow emits has the attributes of a CloudEvent
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: what-a-workflow-emits-has-the-attributes-of-a-clou, version: '1.0.0' }
    do:
      - say: { emit: { event: { with: { source: 'https://kit.example', type: kit.said, data: { n: '${ .n + 1 }' } } } } }
      - part: { set: { version: '${ .specversion }', type: '${ .type }', source: '${ .source }', data: '${ .data }', id: '${ .id | length > 0 }' } }
    """
    Given the workflow input is:
    """yaml
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    { version: '1.0', type: kit.said, source: 'https://kit.example', data: { n: 2 }, id: true }
    """

  Scenario: A branch hears what another one emits
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-branch-hears-what-another-one-emits, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - hear: { listen: { to: { one: { with: { type: kit.between } } } } }
              - say:
                  do:
                    - pause: { wait: PT0.02S }
                    - it: { emit: { event: { with: { source: 'https://kit.example', type: kit.between, data: 7 } } } }
      - part: { set: { heard: '${ .[0] }', said: '${ .[1].data }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    { heard: [ 7 ], said: 7 }
    """
