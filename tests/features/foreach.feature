Feature: For each event
  `foreach` of a `listen`: one event after the other, in the order in which they came.

  Scenario: Each event is worked on and the list has what that gave
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: each-event-is-worked-on-and-the-list-has-what-that, version: '1.0.0' }
    do:
      - heard:
          listen: { to: { any: [ { with: { type: kit.n } } ], until: { one: { with: { type: kit.end } } } } }
          foreach:
            item: event
            at: i
            do:
              - twice: { set: { n: '${ $event * 2 }', i: '${ $i }' } }
            output: { as: '${ [.i, .n] }' }
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
    [ [0, 2], [1, 4] ]
    """

  Scenario: Events that come meanwhile wait in order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: events-that-come-meanwhile-wait-in-order, version: '1.0.0' }
    do:
      - heard:
          listen: { to: { any: [ { with: { type: kit.n } } ], until: 'length == 3' } }
          foreach:
            do:
              - rest: { wait: PT0.03S }
              - it: { set: { n: '${ $item }' } }
            export: { as: '${ $context + { order: (($context.order // []) + [.n]) } }' }
      - all: { set: { order: '${ $context.order }', count: '${ length }' } }
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
    { specversion: '1.0', type: kit.n, source: /kit, id: e3, data: 3 }
    """
    Then the workflow should complete with output:
    """yaml
    { order: [1, 2, 3], count: 3 }
    """
    And rest should run 3 times

  Scenario: Without tasks the event is shaped
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: without-tasks-the-event-is-shaped, version: '1.0.0' }
    do:
      - heard:
          listen: { to: { one: { with: { type: kit.n } } }, read: envelope }
          foreach: { output: { as: '${ .id }' } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 1 }
    """
    Then the workflow should complete with output:
    """yaml
    [ e1 ]
    """

  Scenario: Signals are iterated as events are
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: signals-are-iterated-as-events-are, version: '1.0.0' }
    do:
      - heard:
          listen: { to: { any: [ { with: { type: n, omnihubexecution: '${ $workflow.id }' } } ], until: 'length == 2' } }
          foreach: { item: it, do: [ { add: { set: { n: '${ $it + $input.base }' } } } ] }
    """
    Given the workflow input is:
    """yaml
    base: 10
    """
    When the workflow is executed
    And signal n is sent with data:
    """yaml
    1
    """
    And the runtime restarts
    And signal n is sent with data:
    """yaml
    2
    """
    Then the workflow should complete with output:
    """yaml
    [ { n: 11 }, { n: 12 } ]
    """

  Scenario: An error of an iteration can be caught around the listen
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-error-of-an-iteration-can-be-caught-around-the, version: '1.0.0' }
    do:
      - attempt:
          try:
            - heard:
                listen: { to: { any: [ { with: { type: kit.n } } ], until: 'length == 3' } }
                foreach: { do: [ { share: { set: { n: '${ 10 / $item }' } } } ] }
          catch: { do: [ { sorry: { set: { caught: true } } } ] }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e1, data: 5 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.n, source: /kit, id: e2, data: 0 }
    """
    Then the workflow should complete with output:
    """yaml
    caught: true
    """

  Scenario: A listen inside a foreach
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-listen-inside-a-foreach, version: '1.0.0' }
    do:
      - orders:
          listen: { to: { any: [ { with: { type: kit.order } } ], until: 'length == 2' } }
          foreach:
            item: order
            do:
              - paid:
                  listen: { to: { one: { with: { type: kit.paid }, correlate: { order: { from: .data, expect: '${ $order }' } } } } }
            output: { as: '${ $order + ":" + .[0] }' }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.order, source: /kit, id: e1, data: a }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.order, source: /kit, id: e2, data: b }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.paid, source: /kit, id: e3, data: b }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.paid, source: /kit, id: e4, data: a }
    """
    Then the workflow should complete with output:
    """yaml
    [ 'a:a', 'b:b' ]
    """
